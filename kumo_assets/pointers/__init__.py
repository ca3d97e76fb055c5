"""Pointer stores, write side: one protocol, a module for each store, and how an address opens the right one."""
