-- For wrk: posts the files 0.json, 1.json, … (or 0.jpeg, …) of a folder in turn, and ends with a
-- line of JSON.
-- Requests are put together beforehand, as posting shares the cores with what is measured.
-- wrk … -s post_images.lua http://127.0.0.1:5001/invocations -- <folder> <number of files> <json or jpeg>

local requests, turn = {}, 0

function init(arguments)
    local kind = arguments[3]
    local header = { ["Content-Type"] = (kind == "jpeg" and "image/" or "application/") .. kind }
    for number = 1, tonumber(arguments[2]) do
        local name = string.format("%s/%d.%s", arguments[1], number - 1, kind)
        local file = assert(io.open(name, "rb"))
        requests[number] = wrk.format("POST", nil, header, file:read("*a"))
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
