"""Measurements that anyone can repeat: ratios taken in one run, never absolute claims."""
