"""What usage would cost: a document of plans, accounts and periods, and usage, in; charges and statements out."""
