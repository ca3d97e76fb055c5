"""What people, the sensor and the pointer asset do with releases, one module per act.

Each re-reads what it acts on, asks the one decision, moves the pointer by compare-and-set, and writes the ledger.
"""
