"""What each person sees in their own way: the time zone of every moment on the screen."""
