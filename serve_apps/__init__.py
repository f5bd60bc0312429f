"""The HTTP API as Ray Serve applications: everything at `/`, and a fleet for heavy producers at `/ingest`."""
