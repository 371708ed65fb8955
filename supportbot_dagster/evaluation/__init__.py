"""What the shipped file does: probes, held-out questions, the judge, gates and plots."""
