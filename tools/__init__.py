"""What is made from the sources, such as the page of reference."""
