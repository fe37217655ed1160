"""The figures of the sweep: for each one a pure choice of rows (what the csv holds) and a drawing of exactly these."""
