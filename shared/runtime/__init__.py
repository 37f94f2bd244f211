"""What turns a service's parts into a process: settings, logs, metrics, loops, start and drain."""
