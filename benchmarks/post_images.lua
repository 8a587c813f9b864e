-- For wrk: posts the bodies 0.json, 1.json, … of a folder in turn, and ends with a line of JSON.
-- Requests are put together beforehand, as posting shares the cores with what is measured.
-- wrk … -s post_images.lua http://127.0.0.1:5001/invocations -- <folder> <number of bodies>

local requests, turn = {}, 0

function init(arguments)
    for number = 1, tonumber(arguments[2]) do
        local file = assert(io.open(string.format("%s/%d.json", arguments[1], number - 1), "rb"))
        local json = { ["Content-Type"] = "application/json" }
        requests[number] = wrk.format("POST", nil, json, file:read("*a"))
        file:close()
    end
end

function request()
    turn = turn % #requests + 1
    return requests[turn]
end

function done(summary, latency, requests)
    local errors = summary.errors
    print(string.format(
        '{"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "failed": %d}',
        summary.requests, summary.duration / 1e6,
        latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
