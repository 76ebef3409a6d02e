"""The same herd on other schedulers, each as a process of its own."""
