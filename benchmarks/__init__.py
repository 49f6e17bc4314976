"""One script a claim; each prints its figures and whether its bar is met. See RESULTS.md."""
