"""The grader's side: from a folder of hand-ins to pages and marks; students do not get it."""
