"""AWS protocols and HTTP without I/O: bytes to structs and back. No waiting, no sockets."""
