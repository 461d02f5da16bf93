"""The load generator: client, load, workloads, ledger, histogram, report. See `bench/README.md`."""
