"""What a page shows: charts as SVG, crops of frames as pictures, the report's template."""
