-- Drives POSTs by wrk. Arguments: the body, with up to two %d for a counter and a small number; the counter's first
-- value; after how many values it starts again. The last line of the output is the result as JSON.
local body, first, limit, sent

function init(args)
  body, first, limit, sent = args[1], tonumber(args[2]), tonumber(args[3]), 0
end

function request()
  local n = sent
  sent = sent + 1
  return wrk.format("POST", nil, {["Content-Type"] = "application/json"},
    string.format(body, first + n % limit, 1 + n % 300))
end

function done(summary, latency)
  local e = summary.errors
  print(string.format('{"requests": %d, "seconds": %.6f, "p50_ms": %.3f, "p99_ms": %.3f, "errors": %d}',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    e.connect + e.read + e.write + e.status + e.timeout))
end
