"""HTTP interfaces of the server, and how they read requests and write replies."""
