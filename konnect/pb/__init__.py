"""Generated protobuf messages; see proto/README.md. Nothing here is written by hand."""
