"""What enters and leaves the machine: transfers, the contest's zips, submissions, score files."""
