-- Shows Wireshark the packets of a timeline that hydroscope has written as pcapng (link type USER0):
--   wireshark -X lua_script:hydroscope.lua timeline.pcapng
-- Each is 16 bytes of what was done, then the first bytes of the message.

local kinds = {
  [1] = "sent", [2] = "received", [3] = "dropped", [4] = "sent again", [5] = "queued", [6] = "started",
  [7] = "ended", [8] = "put", [9] = "removed", [10] = "spilled", [11] = "failed", [12] = "note",
  [13] = "sample", [14] = "clock",
}

local record = Proto("hydroscope", "Record of a node")
local fields = record.fields
fields.kind = ProtoField.uint16("hydroscope.kind", "Kind", base.DEC, kinds)
fields.peer = ProtoField.uint16("hydroscope.peer", "Other end (interface)", base.DEC)
fields.id = ProtoField.uint64("hydroscope.id", "Id", base.HEX)
fields.bytes = ProtoField.uint32("hydroscope.bytes", "Bytes of the message", base.DEC)
fields.data = ProtoField.bytes("hydroscope.data", "First bytes")

local comment = Field.new("frame.comment")
local interface = Field.new("frame.interface_name")

function record.dissector(buffer, packet, tree)
  if buffer:len() < 16 then return 0 end
  packet.cols.protocol = "hydroscope"
  local branch = tree:add(record, buffer())
  branch:add(fields.kind, buffer(0, 2))
  if buffer(2, 2):uint() ~= 0xffff then branch:add(fields.peer, buffer(2, 2)) end
  branch:add(fields.id, buffer(4, 8))
  branch:add(fields.bytes, buffer(12, 4))
  if buffer:len() > 16 then branch:add(fields.data, buffer(16)) end
  local said, where = comment(), interface()
  if said then packet.cols.info = tostring(said.value) end
  if where then packet.cols.src = tostring(where.value) end
  return buffer:len()
end

DissectorTable.get("wtap_encap"):add(wtap.USER0, record)
