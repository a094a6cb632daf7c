"""The page: one self-contained HTML file that plays a motion and shows its curves, feet, figures and losses."""
