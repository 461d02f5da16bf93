"""The daemon: sockets, HTTP, processes, the command line."""
