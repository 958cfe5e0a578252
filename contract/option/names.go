package option

// Name identifies an option: in the API, in the table and, as the name of its field, in the messages.
type Name string

// The options of a conversion, which are fields of the message Options.
const (
	Locale           Name = "locale"
	Pages            Name = "pages"
	UpdateIndexes    Name = "update_indexes"
	Layout           Name = "layout"
	PDFA             Name = "pdf_a"
	PDFUA            Name = "pdf_ua"
	Tagged           Name = "tagged"
	Bookmarks        Name = "bookmarks"
	FormFields       Name = "form_fields"
	Comments         Name = "comments"
	Watermark        Name = "watermark"
	InitialPage      Name = "initial_page"
	InitialView      Name = "initial_view"
	ImageQuality     Name = "image_quality"
	ImageLossless    Name = "image_lossless"
	ImageDPI         Name = "image_dpi"
	AllowPrinting    Name = "allow_printing"
	AllowChanges     Name = "allow_changes"
	AllowCopying     Name = "allow_copying"
	Notes            Name = "notes"
	HiddenSlides     Name = "hidden_slides"
	SinglePageSheets Name = "single_page_sheets"
	Paper            Name = "paper"
	Orientation      Name = "orientation"
	FitWidth         Name = "fit_width"
	Width            Name = "width"
	DPI              Name = "dpi"
)

// The options that only the converter may see, which are fields of the message Secrets.
const (
	Password      Name = "password"
	UserPassword  Name = "user_password"
	OwnerPassword Name = "owner_password"
)
