"""The tests of Sluice; the folders mirror the rooms."""
