SELECT avg(temp)  OVER [lat - 0.25 : lat + 0.25, lon - 0.25 : lon + 0.25],
avg(temp)  OVER [#lat - 1 : #lat + 1, #lon - 1 : #lon + 1],
sum(rain)  OVER [* : time] AS c, max(close) OVER [#day - 251 : #day],
avg(temp)  OVER ([#x - 1 : #x + 1] EDGE WRAP), avg(temp)  OVER ([#x - 1 : #x + 1] EDGE NULL), avg(temp) OVER ([x : *] EDGE NEAREST) n FROM sst