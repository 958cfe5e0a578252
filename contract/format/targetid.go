package format

// The identifiers of the targets that other packages treat in their own way. Every other target is the format of the
// same identifier, written by LibreOffice.
const (
	TargetPDF       = "pdf"
	TargetPNG       = "png"
	TargetJPEG      = "jpeg"
	TargetWebP      = "webp"
	TargetSVG       = "svg"
	TargetThumbnail = "thumbnail"
)
