"""The HTML report: charts and templates."""
