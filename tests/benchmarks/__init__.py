"""Speed beside its limit: what Sluice takes for a piece of work, and what its bare writing takes in the same run."""
