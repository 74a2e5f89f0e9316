//! Sorting rows by primary key and merging equal keys field by field.
