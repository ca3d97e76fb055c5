"""`kumo-assets prove`: what is assumed of the outside systems, tried on the accounts that the environment points at.

`assumptions` lists what is tried, `suite` tries it. Nothing here runs in production: no other room imports this one but `cli`.
"""
