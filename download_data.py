"""Fetch, unpack and verify the contest's clips: the same as `python -m youku download`.

Run: python download_data.py [--round 1|2|all] [--split train,val,test] [--clips 0-49] [--dry-run]
"""

from youku.download import main

if __name__ == "__main__":
    raise SystemExit(main())
