#include "framing.h"

const char *const framing_prefix_names[WEIR_FRAME_PREFIX_COUNT + 1] = {
	[WEIR_FRAME_U32] = "u32",       [WEIR_FRAME_U8] = "u8",
	[WEIR_FRAME_U16] = "u16",       [WEIR_FRAME_U64] = "u64",
	[WEIR_FRAME_VARINT] = "varint", [WEIR_FRAME_PREFIX_COUNT] = NULL,
};

size_t framing_payload_bytes_max(enum weir_frame_prefix prefix)
{
	switch (prefix) {
	case WEIR_FRAME_U8:
		return UINT8_MAX;
	case WEIR_FRAME_U16:
		return UINT16_MAX;
	case WEIR_FRAME_U32:
		return UINT32_MAX;
	default:
		return SIZE_MAX;
	}
}

const char *framing_text(const struct weir_frame_format *format)
{
	static const char *const texts[WEIR_FRAME_PREFIX_COUNT][2] = {
		[WEIR_FRAME_U32] = { "framed u32 big-endian",
				     "framed u32 little-endian" },
		[WEIR_FRAME_U8] = { "framed u8", "framed u8" },
		[WEIR_FRAME_U16] = { "framed u16 big-endian",
				     "framed u16 little-endian" },
		[WEIR_FRAME_U64] = { "framed u64 big-endian",
				     "framed u64 little-endian" },
		[WEIR_FRAME_VARINT] = { "framed varint", "framed varint" },
	};
	return texts[format->prefix][format->is_little_endian ? 1 : 0];
}
