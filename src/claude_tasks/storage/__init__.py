"""Where tasks and runs are kept: named SQL, migrations, one store per database."""
