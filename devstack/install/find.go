package install

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/docmill/docmill/fonts/packages"
)

// find looks for each need and returns those that are missing.
func find(needs []Need) (tools Tools, missing []Need) {
	finders := map[Need]func(*Tools) bool{
		RabbitMQ: findRabbitMQ, PostgreSQL: findPostgreSQL, MinIO: findMinIO,
		LibreOffice: findLibreOffice, Fonts: findFonts, Poppler: findPoppler,
		QPDF: findQPDF, WebP: findWebP, Chromium: findChromium, Prometheus: findPrometheus,
	}
	for _, need := range needs {
		if found, known := finders[need]; !known || !found(&tools) {
			missing = append(missing, need)
		}
	}
	return tools, missing
}

func findRabbitMQ(tools *Tools) bool {
	scripts, _ := filepath.Glob("/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server")
	epmd, err := exec.LookPath("epmd")
	if err != nil || len(scripts) == 0 {
		return false
	}
	tools.RabbitMQServer, tools.Epmd = scripts[len(scripts)-1], epmd
	return true
}

// findPostgreSQL selects the highest major version; Debian allows several side by side.
func findPostgreSQL(tools *Tools) bool {
	servers, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(servers) == 0 {
		return false
	}
	version := func(server string) int {
		major, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(server))))
		return major
	}
	highest := slices.MaxFunc(servers, func(a, b string) int { return version(a) - version(b) })
	tools.PostgreSQLBin = filepath.Dir(highest)
	return isFile(filepath.Join(tools.PostgreSQLBin, "initdb"))
}

func findMinIO(tools *Tools) bool {
	path, err := minioPath()
	if err != nil || !isFile(path) {
		return false
	}
	tools.MinIO = path
	return true
}

// findLibreOffice requires the components for text, spreadsheets, presentations and formulas. Debian packages them
// separately, and a soffice without one of them fails only when it opens such a document, or omits the formulas.
func findLibreOffice(tools *Tools) bool {
	found, err := exec.LookPath("soffice")
	if err != nil {
		return false
	}
	program, err := filepath.EvalSymlinks(found)
	if err != nil {
		return false
	}
	for _, library := range []string{"libswlo.so", "libsclo.so", "libsdlo.so", "libsmlo.so"} {
		if !isFile(filepath.Join(filepath.Dir(program), library)) {
			return false
		}
	}
	tools.Soffice = found
	return true
}

// findFonts looks for a file of each package of fonts.
func findFonts(*Tools) bool {
	missing := map[string]bool{}
	for _, p := range slices.Concat(packages.Relied(), packages.System()) {
		missing[p.Files[0]] = true
	}
	for _, directory := range []string{"/usr/share/fonts", "/usr/local/share/fonts"} {
		_ = filepath.WalkDir(directory, func(path string, _ fs.DirEntry, _ error) error {
			for pattern := range missing {
				if found, _ := filepath.Match(pattern, filepath.Base(path)); found {
					delete(missing, pattern)
				}
			}
			return nil
		})
	}
	return len(missing) == 0
}

func findPoppler(tools *Tools) bool {
	found, err := exec.LookPath("pdfinfo")
	tools.Pdfinfo = found
	return err == nil
}

func findQPDF(tools *Tools) bool {
	found, err := exec.LookPath("qpdf")
	tools.Qpdf = found
	return err == nil
}

func findWebP(tools *Tools) bool {
	found, err := exec.LookPath("cwebp")
	tools.Cwebp = found
	return err == nil
}

// findChromium prefers the small package, which has only what is needed to run without a window.
func findChromium(tools *Tools) bool {
	for _, name := range []string{"chromium-headless-shell", "chromium"} {
		if found, err := exec.LookPath(name); err == nil {
			tools.Chromium = found
			return true
		}
	}
	return false
}

// findPrometheus prefers the programs that are installed.
func findPrometheus(tools *Tools) bool {
	server, err := exec.LookPath("prometheus")
	promtool, missing := exec.LookPath("promtool")
	if err != nil || missing != nil {
		directory, err := prometheusDir()
		if err != nil {
			return false
		}
		server, promtool = filepath.Join(directory, "prometheus"), filepath.Join(directory, "promtool")
	}
	if !isFile(server) || !isFile(promtool) {
		return false
	}
	tools.Prometheus, tools.Promtool = server, promtool
	return true
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
