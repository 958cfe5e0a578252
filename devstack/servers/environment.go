package servers

import "os"

// environment returns the environment of every server. It inherits almost nothing, so that a variable that is set on
// one machine does not change the behavior of a test.
func environment(home string) []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "HOME=" + home}
	if zone, set := os.LookupEnv("TZ"); set {
		env = append(env, "TZ="+zone)
	}
	return env
}
