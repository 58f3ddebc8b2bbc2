"""Small weights beside those of a model that change its style or its speed."""
