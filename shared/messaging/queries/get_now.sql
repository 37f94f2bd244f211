-- The time of this database's clock, which all its deadlines are compared with.
SELECT app_now();
