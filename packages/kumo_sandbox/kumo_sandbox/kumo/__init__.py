"""The Kumo emulator: the vendor's routes and JSON over the sandbox warehouse, with predictions that are really computed.

`app.create_app` is the ASGI application. Starting it, and everything about Snowflake and AWS, lives elsewhere in
`kumo_sandbox`; nothing here is a client of Kumo.
"""
