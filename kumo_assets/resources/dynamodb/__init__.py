"""DynamoDB: `imports` puts an export into a new table, `tables` cares for a table's whole life after that."""
