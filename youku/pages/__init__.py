"""What is shown of runs and submissions: curves, tables, crops, the report with its templates, comparisons of clips."""
