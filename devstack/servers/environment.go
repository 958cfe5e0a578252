package servers

import "os"

// environment is what every server gets, and nothing else of this process's own: a variable that is set on one machine
// must not change what a test sees.
func environment(home string) []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "HOME=" + home}
	if zone, set := os.LookupEnv("TZ"); set {
		env = append(env, "TZ="+zone)
	}
	return env
}
