"""Proof with peers that this project did not write: grpcio, the public Go client, curl, openssl."""
