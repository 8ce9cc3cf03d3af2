CREATE ARRAY sst (
    time  TIMESTAMP DIMENSION ['2020-01-01' : * : INTERVAL '1 day'] TILE 64,   -- grows
    lat   DOUBLE    DIMENSION [-89.875 : 89.875 : 0.25]             TILE 180,
    lon   DOUBLE    DIMENSION [0.125 : 359.875 : 0.25]              TILE 360,
    temp  REAL,
    qc    UTINYINT NOT NULL DEFAULT 0 CODEC 'shuffle,zstd(3)'
);