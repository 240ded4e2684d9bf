module sealer.invalid/tests/benchmarks/load

go 1.24
