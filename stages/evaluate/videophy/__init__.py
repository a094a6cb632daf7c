"""VideoPhy's automatic rater, VideoCon-Physics: does a video show what was asked for, does it obey physics (METHOD 9)."""
