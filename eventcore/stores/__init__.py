"""Where rows live: the contract (`base`), and the stores in memory and on SQLite (`factory`).

Empty on purpose: the writer process imports this package and has to start fast.
"""
