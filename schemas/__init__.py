"""The contracts of pairmill: tables, keys, reasons, recipes. Imports nothing of ours, no Beam, no torch."""
