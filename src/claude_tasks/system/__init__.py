"""What the program asks of the machine: clocks, files, processes, threads, requests."""
