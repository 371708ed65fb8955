"""Hand review of synthesized pairs: candidates, verdicts and the page."""
