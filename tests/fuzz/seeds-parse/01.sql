CREATE ARRAY prices (
    day    DATE DIMENSION ['1990-01-01' : * : 1],
    ticker TEXT DIMENSION,                       -- labels join as they are first inserted
    close  DOUBLE
);